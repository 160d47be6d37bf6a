"""The explorer: what a run recommends and why, as answers and as a Streamlit page."""
