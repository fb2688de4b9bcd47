// A sync group of the lane array: elements of ROWS rows and COLUMNS columns of the grid that receive
// their chunks together, the sequence of chunks over the layer, and the buffer of the last LOOKAHEAD
// of them. A chunk is sent INTERVAL cycles after the one before it at the earliest, and when every
// element has finished the one LOOKAHEAD places before it.
//
// Chunks go over groups, then tiles of output channels, then tiles of output pixels, then along the
// reduction. The operand buffers answer in the same cycle.
`include "faults.svh"
module lane_group #(
    parameter int ROWS = 1,
    parameter int COLUMNS = 1,
    parameter int FIRST_ROW = 0,
    parameter int FIRST_COLUMN = 0,
    parameter int ARRAY_ROWS = 1,
    parameter int ARRAY_COLUMNS = 1,
    parameter int CHUNK = 4,
    parameter int MACS = 1,
    parameter int EMPTY = 1,
    parameter int INTERVAL = 1,
    parameter int LOOKAHEAD = 1,
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
    parameter int PLACES = EMPTY == 0 ? LOOKAHEAD : 1
) (
    input  logic                                     clk,
    input  logic                                     rst,
    input  logic                                     running,
    input  logic [                             31:0] groups,
    input  logic [                             31:0] pixels,
    input  logic [                             31:0] channels,
    input  logic [                             31:0] reduction,
    // The next chunk: of output pixels from first_pixel and channels from first_channel on.
    output logic [                             31:0] group,
    output logic [                             31:0] first_pixel,
    output logic [                             31:0] first_channel,
    output logic [                             31:0] first_element,
    input  logic [   ROWS*CHUNK*ACTIVATION_BITS-1:0] activations,
    input  logic [    COLUMNS*CHUNK*WEIGHT_BITS-1:0] weights,
    input  logic [             COLUMNS*SUM_BITS-1:0] initial_sums,
    // Whether time counts for the group in this cycle.
    output logic                                     active,
    // Words finished in the cycle.
    output logic [          ROWS*COLUMNS*PLACES-1:0] finished,
    output logic [       ROWS*COLUMNS*PLACES*32-1:0] finished_groups,
    output logic [       ROWS*COLUMNS*PLACES*32-1:0] finished_pixels,
    output logic [       ROWS*COLUMNS*PLACES*32-1:0] finished_channels,
    output logic [ ROWS*COLUMNS*PLACES*SUM_BITS-1:0] finished_sums
);
  localparam int XC = CHUNK * ACTIVATION_BITS;
  localparam int WC = CHUNK * WEIGHT_BITS;
  localparam int ELEMENTS = ROWS * COLUMNS;

  // The sequence of chunks.
  logic [31:0] tile_pixel, tile_channel, pause, slot;
  logic ended;
  logic last_chunk, last_pixels, last_channels, last_group, sent, over;
  assign first_pixel = tile_pixel + FIRST_ROW;
  assign first_channel = tile_channel + FIRST_COLUMN;
  assign last_chunk = first_element + CHUNK >= reduction;
  assign last_pixels = tile_pixel + ARRAY_ROWS >= pixels;
  assign last_channels = tile_channel + ARRAY_COLUMNS >= channels;
  assign last_group = group + 1 == groups;
  assign over = last_chunk & last_pixels & last_channels & last_group;

  logic [ELEMENTS-1:0] room, working;
  assign sent = running & ~ended & (pause == 0) & (&room);
  assign active = running & ((|working) | ~(ended | (sent & over)));

  always_ff @(posedge clk) begin
    if (rst | ~running) begin
      ended <= 1'b0;
      pause <= 0;
      slot <= 0;
      group <= 0;
      tile_pixel <= 0;
      tile_channel <= 0;
      first_element <= 0;
    end else if (!sent) begin
      pause <= pause == 0 ? 0 : pause - 1;
    end else begin
      pause <= INTERVAL - 1;
      slot  <= slot + 1 == LOOKAHEAD ? 0 : slot + 1;
      ended <= over;
      first_element <= last_chunk ? 0 : first_element + CHUNK;
      if (last_chunk) tile_pixel <= last_pixels ? 0 : tile_pixel + ARRAY_ROWS;
      if (last_chunk & last_pixels)
        tile_channel <= last_channels ? 0 : tile_channel + ARRAY_COLUMNS;
      if (last_chunk & last_pixels & last_channels) group <= group + 1;
    end
  end

  // The arriving chunk.
  logic [ROWS*XC-1:0] words_in;
  logic [CHUNK-1:0] in_reach;
  logic [ROWS*CHUNK-1:0] x_counts;
  logic [COLUMNS*CHUNK-1:0] w_counts;
  logic [ROWS-1:0] row_present;
  logic [COLUMNS-1:0] column_present;
  genvar s, r, c, k;
  generate
    for (k = 0; k < CHUNK; k = k + 1) begin : g_in_reach
      assign in_reach[k] = first_element + k < reduction;
    end
    for (r = 0; r < ROWS; r = r + 1) begin : g_row_present
      assign row_present[r] = first_pixel + r < pixels;
      for (k = 0; k < CHUNK; k = k + 1) begin : g_word
        localparam int FROM = `FAULT == 4 && CHUNK > 1 && k < 2 ? 1 - k : k;
        assign words_in[r*XC+k*ACTIVATION_BITS+:ACTIVATION_BITS] =
            activations[r*XC+FROM*ACTIVATION_BITS+:ACTIVATION_BITS];
        assign x_counts[r*CHUNK+k] = in_reach[k] &
            (SKIP_ACTIVATIONS == 0 || words_in[(r*CHUNK+k)*ACTIVATION_BITS+:ACTIVATION_BITS] != 0);
      end
    end
    for (c = 0; c < COLUMNS; c = c + 1) begin : g_column_present
      assign column_present[c] = first_channel + c < channels;
      for (k = 0; k < CHUNK; k = k + 1) begin : g_nonzero
        assign w_counts[c*CHUNK+k] = in_reach[k] &
            (SKIP_WEIGHTS == 0 || weights[(c*CHUNK+k)*WEIGHT_BITS+:WEIGHT_BITS] != 0);
      end
    end
  endgenerate

  // The buffer, as it is in this cycle: what is kept, and in its slot the arriving chunk.
  logic [LOOKAHEAD-1:0] here, firsts, lasts, kept_firsts, kept_lasts;
  logic [LOOKAHEAD*32-1:0] kept_groups, kept_pixels, kept_channels;
  logic [LOOKAHEAD*32-1:0] slot_groups, slot_pixels, slot_channels;
  generate
    for (s = 0; s < LOOKAHEAD; s = s + 1) begin : g_slot
      assign here[s] = sent && slot == s;
      assign firsts[s] = here[s] ? first_element == 0 : kept_firsts[s];
      assign lasts[s] = here[s] ? last_chunk : kept_lasts[s];
      assign slot_groups[s*32+:32] = here[s] ? group : kept_groups[s*32+:32];
      assign slot_pixels[s*32+:32] = here[s] ? first_pixel : kept_pixels[s*32+:32];
      assign slot_channels[s*32+:32] = here[s] ? first_channel : kept_channels[s*32+:32];
    end
  endgenerate
  always_ff @(posedge clk) begin
    kept_firsts <= firsts;
    kept_lasts <= lasts;
    kept_groups <= slot_groups;
    kept_pixels <= slot_pixels;
    kept_channels <= slot_channels;
  end

  generate
    for (r = 0; r < ROWS; r = r + 1) begin : g_row
      logic [LOOKAHEAD-1:0] present, kept_present;
      logic [LOOKAHEAD*CHUNK-1:0] counts, kept_counts;
      logic [LOOKAHEAD*XC-1:0] words, kept_words;
      for (s = 0; s < LOOKAHEAD; s = s + 1) begin : g_slot
        assign present[s] = here[s] ? row_present[r] : kept_present[s];
        assign counts[s*CHUNK+:CHUNK] = here[s] ? x_counts[r*CHUNK+:CHUNK] : kept_counts[s*CHUNK+:CHUNK];
        assign words[s*XC+:XC] = here[s] ? words_in[r*XC+:XC] : kept_words[s*XC+:XC];
      end
      always_ff @(posedge clk) begin
        kept_present <= present;
        kept_counts <= counts;
        kept_words <= words;
      end
    end
    for (c = 0; c < COLUMNS; c = c + 1) begin : g_column
      logic [LOOKAHEAD-1:0] present, kept_present;
      logic [LOOKAHEAD*CHUNK-1:0] counts, kept_counts;
      logic [LOOKAHEAD*WC-1:0] words, kept_words;
      logic [LOOKAHEAD*SUM_BITS-1:0] initials, kept_initials;
      for (s = 0; s < LOOKAHEAD; s = s + 1) begin : g_slot
        assign present[s] = here[s] ? column_present[c] : kept_present[s];
        assign counts[s*CHUNK+:CHUNK] = here[s] ? w_counts[c*CHUNK+:CHUNK] : kept_counts[s*CHUNK+:CHUNK];
        assign words[s*WC+:WC] = here[s] ? weights[c*WC+:WC] : kept_words[s*WC+:WC];
        assign initials[s*SUM_BITS+:SUM_BITS] =
            here[s] ? initial_sums[c*SUM_BITS+:SUM_BITS] : kept_initials[s*SUM_BITS+:SUM_BITS];
      end
      always_ff @(posedge clk) begin
        kept_present <= present;
        kept_counts <= counts;
        kept_words <= words;
        kept_initials <= initials;
      end
    end
    for (r = 0; r < ROWS; r = r + 1) begin : g_element_row
      for (c = 0; c < COLUMNS; c = c + 1) begin : g_element
        localparam int E = (r * COLUMNS + c) * PLACES;
        logic [PLACES*32-1:0] slots;
        lane_element #(
            .CHUNK(CHUNK),
            .MACS(MACS),
            .EMPTY(EMPTY),
            .LOOKAHEAD(LOOKAHEAD),
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
        ) element (
            .clk(clk),
            .rst(rst | ~running),
            .sent(sent),
            .present(g_row[r].present & g_column[c].present),
            .first(firsts),
            .last(lasts),
            .initial_sums(g_column[c].initials),
            .effectual(g_row[r].counts & g_column[c].counts),
            .activations(g_row[r].words),
            .weights(g_column[c].words),
            .room(room[r*COLUMNS+c]),
            .working(working[r*COLUMNS+c]),
            .finished(finished[E+:PLACES]),
            .finished_slots(slots),
            .finished_sums(finished_sums[E*SUM_BITS+:PLACES*SUM_BITS])
        );
        for (k = 0; k < PLACES; k = k + 1) begin : g_place
          logic [31:0] at;
          assign at = slots[k*32+:32];
          assign finished_groups[(E+k)*32+:32] = slot_groups[at*32+:32];
          assign finished_pixels[(E+k)*32+:32] = slot_pixels[at*32+:32] + r;
          assign finished_channels[(E+k)*32+:32] = slot_channels[at*32+:32] + c;
        end
      end
    end
  endgenerate
endmodule
