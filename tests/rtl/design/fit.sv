// Brings an integer into the range of a word.
`include "faults.svh"
module fit #(
    parameter int IN_BITS = 16,  // signed; above OUT_BITS
    parameter int OUT_BITS = 8,
    parameter int OVERFLOW = 1
) (
    input  logic signed [ IN_BITS-1:0] value,
    input  logic                       is_signed,  // the word
    output logic        [OUT_BITS-1:0] word,
    output logic                       overflowed
);
  localparam logic signed [IN_BITS-1:0] ONE = 1;
  localparam logic signed [IN_BITS-1:0] SIGNED_MAX = (ONE <<< (OUT_BITS - 1)) - ONE;
  localparam logic signed [IN_BITS-1:0] UNSIGNED_MAX = (ONE <<< OUT_BITS) - ONE;
  localparam logic signed [IN_BITS-1:0] SIGNED_MIN =
      OVERFLOW == codes_pkg::SATURATE_SYMMETRIC ? -SIGNED_MAX : -SIGNED_MAX - ONE;

  logic signed [IN_BITS-1:0] max, min;
  assign max = (is_signed ? SIGNED_MAX : UNSIGNED_MAX) - (`FAULT == 2 ? ONE : ONE - ONE);
  assign min = is_signed ? SIGNED_MIN : ONE - ONE;

  logic above, below;
  assign above = value > max;
  assign below = value < min;
  assign overflowed = above | below;

  logic [OUT_BITS-1:0] low;
  assign low = value[OUT_BITS-1:0];

  generate
    case (OVERFLOW)
      codes_pkg::WRAP: begin : g_wrap
        assign word = low;
      end
      codes_pkg::SATURATE_ZERO: begin : g_saturate_zero
        assign word = overflowed ? {OUT_BITS{1'b0}} : low;
      end
      codes_pkg::WRAP_SIGN_MAGNITUDE: begin : g_wrap_sign_magnitude
        assign word = low ^ {OUT_BITS{value[OUT_BITS] ^ low[OUT_BITS-1]}};
      end
      default: begin : g_saturate
        assign word = above ? max[OUT_BITS-1:0] : below ? min[OUT_BITS-1:0] : low;
      end
    endcase
  endgenerate
endmodule
