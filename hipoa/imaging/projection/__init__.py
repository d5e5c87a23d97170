"""From a CT and a hip centre to line integrals."""
