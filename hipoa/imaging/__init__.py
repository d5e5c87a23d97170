"""CT file to hip centres to projection to radiograph."""
