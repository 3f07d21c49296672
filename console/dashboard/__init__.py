"""The dashboard: results, times and failures by day, as accessible SVG made on the server."""
