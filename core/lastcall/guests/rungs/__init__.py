"""The rungs of a ladder: one method after the other, asked, waited for, and how each went."""
