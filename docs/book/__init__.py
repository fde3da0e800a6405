"""The book: the pages of docs/ as a site, with those that are made from the code."""
