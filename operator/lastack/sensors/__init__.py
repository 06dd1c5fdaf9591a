"""Look: sockets, listeners, owners, processes, namespaces and probes; shared by every mode. Decides nothing.

Called by bootstrap and cli; stands on kernel and answers in the types of engine.samples.
"""
