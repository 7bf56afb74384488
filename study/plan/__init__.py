"""Study files read, checked and written out: what is asked, before anything runs."""
