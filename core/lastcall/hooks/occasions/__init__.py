"""The runs that a plugin's hooks are meant for, and the lines at the top of a drop-in that say so."""
