"""Pages and pictures without a template engine: HTML and SVG."""
