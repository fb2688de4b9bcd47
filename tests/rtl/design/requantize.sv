// The `shift` requantizer: the cast of an accumulator into an output word, by a distance and a
// signedness that are set for each layer. A fused ReLU cuts negative accumulators off before it.
`include "faults.svh"
module requantize #(
    parameter int IN_BITS = 32,  // signed
    parameter int OUT_BITS = 8,
    parameter int SHIFT_BITS = 7,
    parameter int LEFT = 8,      // largest distance to the left
    parameter int ROUNDING = 6,
    parameter int OVERFLOW = 1
) (
    input  logic signed [   IN_BITS-1:0] value,
    input  logic signed [SHIFT_BITS-1:0] drop,       // bits dropped; negative: gained, up to LEFT
    input  logic                         is_signed,  // the word
    input  logic                         relu,
    output logic        [  OUT_BITS-1:0] word,
    output logic                         overflowed
);
  // Beyond IN_BITS + 1 dropped bits nothing changes: every value is below a half.
  localparam int FAR = IN_BITS + 1;
  localparam int MOVED = IN_BITS + LEFT + 2;
  localparam int WIDE = MOVED > OUT_BITS + 2 ? MOVED : OUT_BITS + 2;

  logic [31:0] left, right;
  assign left  = drop < 0 ? -32'(drop) : 32'd0;
  assign right = drop < 0 ? 32'd0 : 32'(drop) > FAR ? FAR : 32'(drop);

  // One more bit on the right holds the guard bit where nothing is dropped.
  logic signed [WIDE:0] extended, moved, mask;
  localparam logic signed [WIDE:0] NUDGE = `FAULT == 1 ? 2 : 0;
  localparam logic signed [WIDE:0] ALL = -1;
  assign extended = ($signed({{(WIDE - IN_BITS) {value[IN_BITS-1]}}, value, 1'b0}) <<< left) + NUDGE;
  assign moved = extended >>> right;
  assign mask = ~(ALL <<< right);

  logic up;
  round_up #(
      .ROUNDING(ROUNDING)
  ) decide (
      .negative(extended[WIDE]),
      .odd(moved[1]),
      .guard(moved[0]),
      .sticky(|(extended & mask)),
      .up(up)
  );

  logic signed [WIDE-1:0] rounded;
  assign rounded = moved[WIDE:1] + $signed({{(WIDE - 1) {1'b0}}, up});

  logic [OUT_BITS-1:0] fitted;
  logic out_of_range;
  fit #(
      .IN_BITS (WIDE),
      .OUT_BITS(OUT_BITS),
      .OVERFLOW(OVERFLOW)
  ) range (
      .value(rounded),
      .is_signed(is_signed),
      .word(fitted),
      .overflowed(out_of_range)
  );

  logic cut;
  assign cut = relu & value[IN_BITS-1];
  assign word = cut ? {OUT_BITS{1'b0}} : fitted;
  assign overflowed = ~cut & out_of_range;
endmodule
