"""Results as text and pages: tables of a terminal, one self-contained HTML page, figures. No torch."""
