"""The pages. (A folder named pages/ is special to Streamlit.)"""
