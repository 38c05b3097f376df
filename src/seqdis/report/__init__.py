"""From scores, pictures and settings to tables, figures and one page that can be mailed."""
