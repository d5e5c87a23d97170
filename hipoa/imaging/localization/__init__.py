"""Where the femoral heads of a CT are, and how sure that is."""
