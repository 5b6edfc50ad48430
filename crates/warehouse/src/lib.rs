//! naru-warehouse.
