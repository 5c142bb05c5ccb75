//! Types of the local REST and WebSocket API.
