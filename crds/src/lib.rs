//! Custom resources of Milena: types, partition state, settings, and the YAML generated from them.
