// The `multiplier_shift` requantizer, as gemmlowp and TFLite define it:
// word = accumulator · multiplier · 2^(shift − 31), rounded twice, saturated.
`include "faults.svh"
module requantize_multiplier #(
    parameter int OUT_BITS = 8
) (
    input  logic signed [        31:0] value,
    input  logic        [        30:0] multiplier,
    input  logic signed [         5:0] shift,       // −31 to 30, positive to the left
    input  logic                       is_signed,   // the word
    output logic        [OUT_BITS-1:0] word,
    output logic                       overflowed
);
  // The left shift, saturated to 32 bits.
  logic signed [62:0] shifted;
  logic [31:0] factor;
  logic left_overflow, out_overflow;
  assign shifted = shift > 0 ? 63'(value) <<< shift : 63'(value);
  fit #(
      .IN_BITS (63),
      .OUT_BITS(32),
      .OVERFLOW(codes_pkg::SATURATE)
  ) left (
      .value(shifted),
      .is_signed(1'b1),
      .word(factor),
      .overflowed(left_overflow)
  );

  // SaturatingRoundingDoublingHighMul: the high half of the doubled product, halves up.
  localparam logic signed [63:0] HALF = 64'sd1 <<< 30;
  logic signed [63:0] product, high;
  assign product = $signed(factor) * $signed({1'b0, multiplier});
  assign high = (product + (`FAULT == 1 ? HALF + 64'sd1 : HALF)) >>> 31;

  // RoundingDivideByPOT: a right shift, halves away from zero.
  logic [5:0] right;
  logic [31:0] mask, remainder, threshold;
  logic signed [33:0] divided;
  assign right = shift < 0 ? -shift : 6'd0;
  assign mask = ~(32'hffff_ffff << right);
  assign remainder = high[31:0] & mask;
  assign threshold = (mask >> 1) + {31'd0, high[63]};
  assign divided = (34'($signed(high[33:0])) >>> right) + (remainder > threshold ? 34'sd1 : 34'sd0);

  fit #(
      .IN_BITS (34),
      .OUT_BITS(OUT_BITS),
      .OVERFLOW(codes_pkg::SATURATE)
  ) range (
      .value(divided),
      .is_signed(is_signed),
      .word(word),
      .overflowed(out_overflow)
  );
  assign overflowed = left_overflow | out_overflow;
endmodule
