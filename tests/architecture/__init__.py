"""The rules of the structure, as tests that fail when somebody breaks one."""
