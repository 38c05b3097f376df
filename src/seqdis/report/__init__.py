"""From scores, pictures and settings to tables, figures and one page that can be mailed.

`seqdis.report.tables` writes text, Markdown and LaTeX; `seqdis.report.figures` draws `Picture`s
(needs Matplotlib); `seqdis.report.page` joins both into one HTML file.
"""
