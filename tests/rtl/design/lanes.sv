// The lane array of docs/cycles.md: ROWS × COLUMNS elements, rows taking output pixels and columns
// output channels, in sync groups of an element, a row, a column or the whole array. `busy` is high
// for as many cycles as the layer takes, DRAIN included. INTERVAL is at least 1: one chunk a cycle.
module lanes #(
    parameter int ROWS = 2,
    parameter int COLUMNS = 2,
    parameter int SYNC = 3,
    parameter int CHUNK = 4,
    parameter int MACS = 1,
    parameter int EMPTY = 1,
    parameter int INTERVAL = 1,
    parameter int LOOKAHEAD = 1,
    parameter int DRAIN = 0,
    parameter int SKIP_ACTIVATIONS = 1,
    parameter int SKIP_WEIGHTS = 1,
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
    parameter int SUM_OVERFLOW = 1,
    parameter int PLACES = EMPTY == 0 ? LOOKAHEAD : 1,
    // Rows and columns of a sync group, and how many groups there are.
    parameter int GROUP_ROWS = SYNC == codes_pkg::SYNC_COLUMN || SYNC == codes_pkg::SYNC_ARRAY ? ROWS : 1,
    parameter int GROUP_COLUMNS = SYNC == codes_pkg::SYNC_ROW || SYNC == codes_pkg::SYNC_ARRAY ? COLUMNS : 1,
    parameter int SYNC_GROUPS = (ROWS / GROUP_ROWS) * (COLUMNS / GROUP_COLUMNS),
    parameter int WORDS = ROWS * COLUMNS * PLACES
) (
    input  logic                                                        clk,
    input  logic                                                        rst,
    // A layer: `groups` products of pixels × reduction by reduction × channels.
    input  logic                                                        start,
    input  logic [                                                31:0] groups,
    input  logic [                                                31:0] pixels,
    input  logic [                                                31:0] channels,
    input  logic [                                                31:0] reduction,
    output logic                                                        busy,
    // The next chunk of each sync group.
    output logic [                                  SYNC_GROUPS*32-1:0] group,
    output logic [                                  SYNC_GROUPS*32-1:0] first_pixel,
    output logic [                                  SYNC_GROUPS*32-1:0] first_channel,
    output logic [                                  SYNC_GROUPS*32-1:0] first_element,
    input  logic [SYNC_GROUPS*GROUP_ROWS*CHUNK*ACTIVATION_BITS-1:0]     activations,
    input  logic [SYNC_GROUPS*GROUP_COLUMNS*CHUNK*WEIGHT_BITS-1:0]      weights,
    input  logic [SYNC_GROUPS*GROUP_COLUMNS*SUM_BITS-1:0]               initial_sums,
    // Words finished in the cycle, the last of them in the cycle after `busy` if DRAIN is 0.
    output logic [                                           WORDS-1:0] finished,
    output logic [                                        WORDS*32-1:0] finished_groups,
    output logic [                                        WORDS*32-1:0] finished_pixels,
    output logic [                                        WORDS*32-1:0] finished_channels,
    output logic [                                  WORDS*SUM_BITS-1:0] finished_sums
);
  localparam int XG = GROUP_ROWS * CHUNK * ACTIVATION_BITS;
  localparam int WG = GROUP_COLUMNS * CHUNK * WEIGHT_BITS;
  localparam int SG = GROUP_COLUMNS * SUM_BITS;
  localparam int FG = GROUP_ROWS * GROUP_COLUMNS * PLACES;
  localparam int ACROSS = COLUMNS / GROUP_COLUMNS;

  logic running;
  logic [31:0] drained;
  logic [SYNC_GROUPS-1:0] active;
  assign busy = running & ((|active) | (drained < DRAIN));
  always_ff @(posedge clk) begin
    if (rst) begin
      running <= 1'b0;
    end else if (!running) begin
      running <= start;
      drained <= 0;
    end else begin
      running <= busy;
      if (active == 0) drained <= drained + 1;
    end
  end

  genvar g;
  generate
    if (INTERVAL < 1) begin : g_refused
      INTERVAL_must_be_at_least_1 refused ();
    end
    for (g = 0; g < SYNC_GROUPS; g = g + 1) begin : g_group
      lane_group #(
          .ROWS(GROUP_ROWS),
          .COLUMNS(GROUP_COLUMNS),
          .FIRST_ROW(g / ACROSS * GROUP_ROWS),
          .FIRST_COLUMN(g % ACROSS * GROUP_COLUMNS),
          .ARRAY_ROWS(ROWS),
          .ARRAY_COLUMNS(COLUMNS),
          .CHUNK(CHUNK),
          .MACS(MACS),
          .EMPTY(EMPTY),
          .INTERVAL(INTERVAL),
          .LOOKAHEAD(LOOKAHEAD),
          .SKIP_ACTIVATIONS(SKIP_ACTIVATIONS),
          .SKIP_WEIGHTS(SKIP_WEIGHTS),
          .STYLE(STYLE),
          .WEIGHT_BITS(WEIGHT_BITS),
          .ACTIVATION_BITS(ACTIVATION_BITS),
          .PRODUCT_FRAC(PRODUCT_FRAC),
          .CAST_BITS(CAST_BITS),
          .CAST_FRAC(CAST_FRAC),
          .CAST_ROUNDING(CAST_ROUNDING),
          .CAST_OVERFLOW(CAST_OVERFLOW),
          .SUM_BITS(SUM_BITS),
          .SUM_FRAC(SUM_FRAC),
          .SUM_ROUNDING(SUM_ROUNDING),
          .SUM_OVERFLOW(SUM_OVERFLOW)
      ) members (
          .clk(clk),
          .rst(rst),
          .running(running),
          .groups(groups),
          .pixels(pixels),
          .channels(channels),
          .reduction(reduction),
          .group(group[g*32+:32]),
          .first_pixel(first_pixel[g*32+:32]),
          .first_channel(first_channel[g*32+:32]),
          .first_element(first_element[g*32+:32]),
          .activations(activations[g*XG+:XG]),
          .weights(weights[g*WG+:WG]),
          .initial_sums(initial_sums[g*SG+:SG]),
          .active(active[g]),
          .finished(finished[g*FG+:FG]),
          .finished_groups(finished_groups[g*FG*32+:FG*32]),
          .finished_pixels(finished_pixels[g*FG*32+:FG*32]),
          .finished_channels(finished_channels[g*FG*32+:FG*32]),
          .finished_sums(finished_sums[g*FG*SUM_BITS+:FG*SUM_BITS])
      );
    end
  endgenerate
endmodule
