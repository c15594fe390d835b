"""The explorer: Streamlit for controls, pages and links; a WebSocket of its own for the live pictures."""
