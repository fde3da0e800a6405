"""What a run does and did, told to people: as it goes on, its report, runs of the past, the plan as a timetable."""
