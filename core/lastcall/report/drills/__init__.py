"""What came of drills: told to who began one, and to who asks later."""
