"""The page, terminal tables and Markdown. Nothing is imported here, for a table needs no figures."""
