"""Problems as they are told to people."""
