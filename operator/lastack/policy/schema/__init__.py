"""The whole policy language as pydantic models: every field by name, also those that are not supported yet.

The only package that imports pydantic; called by loading (validation), surveying (field names) and reference (docs).
"""
