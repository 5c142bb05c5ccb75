//! Several real nodes together.
