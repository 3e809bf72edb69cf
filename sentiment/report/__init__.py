"""From scored rows to the analyst's report: statistics as pure functions, apart from drawing (extra `report`)."""
