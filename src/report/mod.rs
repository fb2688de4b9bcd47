//! The results as data, and its renderers.
