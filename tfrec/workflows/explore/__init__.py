"""The explorer: shows what a run recommends and why, as Python objects and as a Streamlit page."""
