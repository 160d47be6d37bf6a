"""Self-contained HTML reports with SVG charts."""
