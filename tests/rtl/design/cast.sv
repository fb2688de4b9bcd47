// The cast of docs/numerics.md between fixed formats: rounding, then overflow.
`include "faults.svh"
module cast #(
    parameter int IN_BITS = 16,   // signed
    parameter int OUT_BITS = 8,
    parameter int OUT_SIGNED = 1,
    parameter int DROP = 4,       // fractional bits dropped; negative: gained
    parameter int ROUNDING = 0,
    parameter int OVERFLOW = 1
) (
    input  logic signed [ IN_BITS-1:0] value,
    output logic        [OUT_BITS-1:0] word,
    output logic                       overflowed
);
  // Wide enough for the value at its new binary point, a carry, and any word of the format.
  localparam int GAIN = DROP < 0 ? -DROP : 0;
  localparam int MOVED = IN_BITS + GAIN + 1;
  localparam int WIDE = MOVED > OUT_BITS + 2 ? MOVED : OUT_BITS + 2;

  logic signed [WIDE-1:0] rounded;
  generate
    if (DROP <= 0) begin : g_gain
      logic signed [WIDE-1:0] extended;
      assign extended = value;
      assign rounded  = extended <<< GAIN;
    end else begin : g_drop
      localparam int FAR = IN_BITS + DROP + 1;  // no bit of it is missing, however far it moves
      localparam logic signed [FAR-1:0] NUDGE = `FAULT == 1 ? 1 : 0;
      logic signed [FAR-1:0] extended;
      logic signed [FAR-1:0] below;
      logic sticky, up;
      assign extended = value + NUDGE;
      assign below = extended >>> DROP;
      if (DROP > 1) begin : g_sticky
        assign sticky = |extended[DROP-2:0];
      end else begin : g_no_sticky
        assign sticky = 1'b0;
      end
      round_up #(
          .ROUNDING(ROUNDING)
      ) decide (
          .negative(extended[FAR-1]),
          .odd(below[0]),
          .guard(extended[DROP-1]),
          .sticky(sticky),
          .up(up)
      );
      logic signed [WIDE-1:0] whole;
      assign whole   = WIDE'(below);
      assign rounded = whole + $signed({{(WIDE - 1) {1'b0}}, up});
    end
  endgenerate

  fit #(
      .IN_BITS (WIDE),
      .OUT_BITS(OUT_BITS),
      .OVERFLOW(OVERFLOW)
  ) range (
      .value(rounded),
      .is_signed(OUT_SIGNED != 0),
      .word(word),
      .overflowed(overflowed)
  );
endmodule
