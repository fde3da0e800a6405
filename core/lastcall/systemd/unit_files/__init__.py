"""The texts of units, by what they are for."""
