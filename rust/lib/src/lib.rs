pub use ww_engine;
