"""What becomes of a run while it goes on: others' words, the power, and guests that come late or are off unheard."""
