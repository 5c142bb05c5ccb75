//! Joins the parts: services, local API, web UI served.
