"""The kernel's words: netlink codec, namespaces, procfs, cgroups, pidfd and features. It decides nothing.

Called by sensors, executors, hosts, lab and benchmarks. Every file may be imported on any system; the first
call that needs Linux refuses elsewhere with `errors.Unsupported` (see `linux.require_linux`).
"""
