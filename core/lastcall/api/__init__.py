"""The words that cross room borders: values, enums, protocols and base classes. Import them from `lastcall`."""
