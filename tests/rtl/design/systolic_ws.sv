// A weight-stationary systolic array: ROWS × COLUMNS elements, of which row r holds element r of a
// part of the reduction and column c an output channel. A fold loads its weights from the top, ROWS
// cycles, and then takes one output pixel a cycle: activations enter on the left, delayed by a cycle
// a row, partial sums at the top, delayed by a cycle a column, and leave at the bottom, where the
// delays of the columns are made equal. A fold takes 2 · ROWS + COLUMNS + pixels − 2 cycles.
//
// Folds go over groups, then columns of output channels, then parts of the reduction. Buffers answer
// in the same cycle. Partial sums of a part are those that the part before it wrote.
`include "faults.svh"
module systolic_ws #(
    parameter int ROWS = 4,
    parameter int COLUMNS = 4,
    parameter int STYLE = 1,
    parameter int WEIGHT_BITS = 8,      // signed
    parameter int ACTIVATION_BITS = 9,  // signed: room for unsigned words of one bit less
    parameter int PRODUCT_FRAC = 0,
    parameter int CAST_BITS = 16,
    parameter int CAST_FRAC = 0,
    parameter int CAST_ROUNDING = 0,
    parameter int CAST_OVERFLOW = 1,
    parameter int SUM_BITS = 32,
    parameter int SUM_FRAC = 0,
    parameter int SUM_ROUNDING = 0,
    parameter int SUM_OVERFLOW = 1
) (
    input  logic                               clk,
    input  logic                               rst,
    // A layer: `groups` products of pixels × reduction by reduction × channels.
    input  logic                               start,
    input  logic [                       31:0] groups,
    input  logic [                       31:0] pixels,
    input  logic [                       31:0] channels,
    input  logic [                       31:0] reduction,
    output logic                               busy,
    // The fold: its group, first output channel and first element of the reduction.
    output logic [                       31:0] group,
    output logic [                       31:0] first_channel,
    output logic [                       31:0] first_element,
    output logic                               last_part,
    // Weights of one element of the reduction, for all columns.
    output logic                               weights_read,
    output logic [                       31:0] weights_element,
    input  logic [    COLUMNS*WEIGHT_BITS-1:0] weights,
    // Activations of one pixel, for all rows, and its partial sums, for all columns.
    output logic                               pixel_read,
    output logic [                       31:0] pixel_in,
    input  logic [   ROWS*ACTIVATION_BITS-1:0] activations,
    input  logic [       COLUMNS*SUM_BITS-1:0] sums_in,
    // Partial sums that leave.
    output logic                               pixel_write,
    output logic [                       31:0] pixel_out,
    output logic [       COLUMNS*SUM_BITS-1:0] sums_out
);
  localparam int LATENCY = ROWS + COLUMNS - 2;

  // The folding controller.
  logic running, loading;
  logic [31:0] cycle;
  assign busy = running;
  assign last_part = first_element + ROWS >= reduction;
  assign weights_read = running & loading;
  assign weights_element = first_element + (ROWS - 1 - cycle);
  assign pixel_in = cycle;
  assign pixel_read = running & ~loading & (cycle < pixels);
  assign pixel_out = cycle - LATENCY;
  assign pixel_write = running & ~loading & (cycle >= LATENCY);

  logic last_cycle, last_columns, last_group;
  assign last_cycle = ~loading & (cycle + 1 == pixels + LATENCY);
  assign last_columns = first_channel + COLUMNS >= channels;
  assign last_group = group + 1 == groups;

  always_ff @(posedge clk) begin
    if (rst) begin
      running <= 1'b0;
    end else if (!running) begin
      running <= start;
      loading <= 1'b1;
      cycle <= 0;
      group <= 0;
      first_channel <= 0;
      first_element <= 0;
    end else if (loading) begin
      loading <= cycle + 1 != ROWS;
      cycle   <= cycle + 1 == ROWS ? 0 : cycle + 1;
    end else if (!last_cycle) begin
      cycle <= cycle + 1;
    end else begin
      loading <= 1'b1;
      cycle   <= 0;
      if (!last_part) begin
        first_element <= first_element + ROWS;
      end else begin
        first_element <= 0;
        if (!last_columns) begin
          first_channel <= first_channel + COLUMNS;
        end else begin
          first_channel <= 0;
          group <= group + 1;
          running <= ~last_group;
        end
      end
    end
  end

  // Words that move to the right and sums that move down, at the inputs of the elements.
  localparam int X = ACTIVATION_BITS;
  logic [ROWS*(COLUMNS+1)*X-1:0] moving_right;
  logic [(ROWS+1)*COLUMNS*SUM_BITS-1:0] moving_down;

  genvar r, c;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : g_skew_row
      localparam int FROM = `FAULT == 4 && ROWS > 1 && r < 2 ? 1 - r : r;
      skew #(
          .BITS (X),
          .DELAY(r)
      ) delay (
          .clk (clk),
          .word(activations[FROM*X+:X]),
          .out (moving_right[r*(COLUMNS+1)*X+:X])
      );
    end
    for (c = 0; c < COLUMNS; c = c + 1) begin : g_skew_column
      skew #(
          .BITS (SUM_BITS),
          .DELAY(c)
      ) delay (
          .clk (clk),
          .word(sums_in[c*SUM_BITS+:SUM_BITS]),
          .out (moving_down[c*SUM_BITS+:SUM_BITS])
      );
    end
    for (r = 0; r < ROWS; r = r + 1) begin : g_row
      for (c = 0; c < COLUMNS; c = c + 1) begin : g_column
        logic [WEIGHT_BITS-1:0] above, weight;
        logic [X-1:0] x;
        logic [SUM_BITS-1:0] sum;
        if (r == 0) begin : g_top
          assign above = weights[c*WEIGHT_BITS+:WEIGHT_BITS];
        end else begin : g_below
          assign above = g_row[r-1].g_column[c].weight;
        end
        mac_step #(
            .STYLE(STYLE),
            .WEIGHT_BITS(WEIGHT_BITS),
            .ACTIVATION_BITS(X),
            .PRODUCT_FRAC(PRODUCT_FRAC),
            .CAST_BITS(CAST_BITS),
            .CAST_FRAC(CAST_FRAC),
            .CAST_ROUNDING(CAST_ROUNDING),
            .CAST_OVERFLOW(CAST_OVERFLOW),
            .SUM_BITS(SUM_BITS),
            .SUM_FRAC(SUM_FRAC),
            .SUM_ROUNDING(SUM_ROUNDING),
            .SUM_OVERFLOW(SUM_OVERFLOW)
        ) element (
            .weight(weight),
            .activation(moving_right[(r*(COLUMNS+1)+c)*X+:X]),
            .sum(moving_down[(r*COLUMNS+c)*SUM_BITS+:SUM_BITS]),
            .next(sum)
        );
        logic [SUM_BITS-1:0] held;
        always_ff @(posedge clk) begin
          if (weights_read) weight <= above;
          x <= moving_right[(r*(COLUMNS+1)+c)*X+:X];
          held <= sum;
        end
        assign moving_right[(r*(COLUMNS+1)+c+1)*X+:X] = x;
        assign moving_down[((r+1)*COLUMNS+c)*SUM_BITS+:SUM_BITS] = held;
      end
    end
    // The last row's sums leave before their register; column c waits for the last column.
    for (c = 0; c < COLUMNS; c = c + 1) begin : g_align
      skew #(
          .BITS (SUM_BITS),
          .DELAY(COLUMNS - 1 - c)
      ) delay (
          .clk (clk),
          .word(g_row[ROWS-1].g_column[c].sum),
          .out (sums_out[c*SUM_BITS+:SUM_BITS])
      );
    end
  endgenerate
endmodule
