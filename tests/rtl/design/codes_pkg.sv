// Codes of the modes that docs/numerics.md and docs/accumulators.md define, for parameters.
package codes_pkg;

  localparam int FLOOR = 0;
  localparam int TOWARD_ZERO = 1;
  localparam int HALF_UP = 2;
  localparam int HALF_TOWARD_ZERO = 3;
  localparam int HALF_AWAY = 4;
  localparam int HALF_DOWN = 5;
  localparam int HALF_EVEN = 6;

  localparam int WRAP = 0;
  localparam int SATURATE = 1;
  localparam int SATURATE_ZERO = 2;
  localparam int SATURATE_SYMMETRIC = 3;
  localparam int WRAP_SIGN_MAGNITUDE = 4;

  localparam int PRODUCT_CAST = 0;
  localparam int FUSED = 1;
  localparam int EXACT = 2;

  localparam int SYNC_ELEMENT = 0;
  localparam int SYNC_ROW = 1;
  localparam int SYNC_COLUMN = 2;
  localparam int SYNC_ARRAY = 3;

endpackage
