//! Tests of blobs.
