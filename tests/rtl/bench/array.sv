// A whole array on golden vectors: the systolic array or the lanes, by the hardware model of the
// generated package. Buffers, the bias and the vector unit that makes output words stand around it.
//
// +jobs=FILE names a file with a layer and image a line, see `job`. For each it writes the output
// words and the accumulators, channels-last, and prints `cycles <layer> <image> <cycles>`.
module array #(
    // Formats of the plan, the same in all layers; binary points relative to the accumulator's.
    parameter int PRODUCT_FRAC = 0,
    parameter int CAST_BITS = 16,
    parameter int CAST_FRAC = 0,
    parameter int CAST_ROUNDING = 0,
    parameter int CAST_OVERFLOW = 1,
    parameter int ACCUMULATOR_BITS = bittrue_params_pkg::HW_ACCUMULATOR_BITS,
    parameter int SUM_BITS = ACCUMULATOR_BITS,  // of sums without loss, in the exact style
    parameter int SUM_ROUNDING = 0,
    parameter int SUM_OVERFLOW = bittrue_params_pkg::HW_ACCUMULATOR_OVERFLOW,
    parameter int BIAS_BITS = 32,
    parameter int BIAS_FRAC = 0,
    parameter int OUT_BITS = 8,
    parameter int OUT_ROUNDING = 6,
    parameter int OUT_OVERFLOW = 1
);
  import bittrue_params_pkg::*;
  localparam int WORDS = 1 << 17;
  localparam int WB = HW_WEIGHT_BITS;
  localparam int XB = HW_ACTIVATION_BITS + 1;

  // The clock stands still while memories are filled and read out.
  logic clk, ticking;
  initial begin
    clk = 0;
    ticking = 1;
  end
  always #1 if (ticking) clk = ~clk;

  // The layer.
  string layer, weights_path, bias_path, patches_path, ofmap_path, accumulator_path;
  int image, groups, pixels, channels, reduction, weight_bits, activation_bits, activation_signed;
  int has_bias, drop, relu, out_signed;

  // Its memories: words of a file, operands, what sums begin with, and sums, channels-last.
  logic [63:0] file_words[WORDS];
  logic [WB-1:0] weight_memory[WORDS];
  logic [XB-1:0] patch_memory[WORDS];
  logic [SUM_BITS-1:0] initial_memory[WORDS];
  logic [SUM_BITS-1:0] sum_memory[WORDS];

  logic rst, start, busy, was_busy;
  longint cycles;
  always @(posedge clk) begin
    if (start) cycles <= 0;
    else if (busy) cycles <= cycles + 1;
    was_busy <= busy;
  end

  // Bias and output stage.
  logic [BIAS_BITS-1:0] bias;
  logic [SUM_BITS-1:0] begun, sum;
  logic [ACCUMULATOR_BITS-1:0] accumulator;
  logic [OUT_BITS-1:0] word;
  logic overflowed;
  bias_cast #(
      .STYLE(HW_STYLE),
      .BIAS_BITS(BIAS_BITS),
      .DROP(BIAS_FRAC),
      .PRODUCT_FRAC(PRODUCT_FRAC),
      .SUM_BITS(SUM_BITS),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .SUM_ROUNDING(SUM_ROUNDING),
      .SUM_OVERFLOW(SUM_OVERFLOW)
  ) initial_sum (
      .bias(bias),
      .sum (begun)
  );
  finish #(
      .STYLE(HW_STYLE),
      .PRODUCT_FRAC(PRODUCT_FRAC),
      .SUM_BITS(SUM_BITS),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .SUM_ROUNDING(SUM_ROUNDING),
      .SUM_OVERFLOW(SUM_OVERFLOW)
  ) last (
      .sum(sum),
      .accumulator(accumulator)
  );
  requantize #(
      .IN_BITS (ACCUMULATOR_BITS),
      .OUT_BITS(OUT_BITS),
      .ROUNDING(OUT_ROUNDING),
      .OVERFLOW(OUT_OVERFLOW)
  ) requantizer (
      .value(accumulator),
      .drop(7'(drop)),
      .is_signed(out_signed != 0),
      .relu(relu != 0),
      .word(word),
      .overflowed(overflowed)
  );

  // The memories answer in the second half of a cycle.
  genvar p;
  generate
    if (HW_FAMILY == FAMILY_SYSTOLIC) begin : g_systolic
      logic [31:0] group, first_channel, first_element, weights_element, pixel_in, pixel_out;
      logic last_part, weights_read, pixel_read, pixel_write;
      logic [HW_COLUMNS*WB-1:0] weights;
      logic [HW_ROWS*XB-1:0] activations;
      logic [HW_COLUMNS*SUM_BITS-1:0] sums_in, sums_out;
      systolic_ws #(
          .ROWS(HW_ROWS),
          .COLUMNS(HW_COLUMNS),
          .STYLE(HW_STYLE),
          .WEIGHT_BITS(WB),
          .ACTIVATION_BITS(XB),
          .PRODUCT_FRAC(PRODUCT_FRAC),
          .CAST_BITS(CAST_BITS),
          .CAST_FRAC(CAST_FRAC),
          .CAST_ROUNDING(CAST_ROUNDING),
          .CAST_OVERFLOW(CAST_OVERFLOW),
          .SUM_BITS(SUM_BITS),
          .SUM_ROUNDING(SUM_ROUNDING),
          .SUM_OVERFLOW(SUM_OVERFLOW)
      ) dut (
          .clk(clk),
          .rst(rst),
          .start(start),
          .groups(groups),
          .pixels(pixels),
          .channels(channels),
          .reduction(reduction),
          .busy(busy),
          .group(group),
          .first_channel(first_channel),
          .first_element(first_element),
          .last_part(last_part),
          .weights_read(weights_read),
          .weights_element(weights_element),
          .weights(weights),
          .pixel_read(pixel_read),
          .pixel_in(pixel_in),
          .activations(activations),
          .sums_in(sums_in),
          .pixel_write(pixel_write),
          .pixel_out(pixel_out),
          .sums_out(sums_out)
      );
      int channel, element;
      always @(negedge clk) begin
        weights = 0;
        activations = 0;
        sums_in = 0;
        for (int c = 0; c < HW_COLUMNS; c = c + 1) begin
          channel = group * channels + first_channel + c;
          if (first_channel + c < channels) begin
            if (weights_read && weights_element < reduction)
              weights[c*WB+:WB] = weight_memory[channel*reduction+weights_element];
            if (pixel_read)
              sums_in[c*SUM_BITS+:SUM_BITS] = first_element == 0 ? initial_memory[channel]
                  : sum_memory[pixel_in*groups*channels+channel];
          end
        end
        for (int r = 0; r < HW_ROWS; r = r + 1) begin
          element = first_element + r;
          if (pixel_read && element < reduction)
            activations[r*XB+:XB] = patch_memory[(group*pixels+pixel_in)*reduction+element];
        end
      end
      always @(posedge clk) begin
        if (pixel_write)
          for (int c = 0; c < HW_COLUMNS; c = c + 1)
            if (first_channel + c < channels)
              sum_memory[(pixel_out*groups+group)*channels+first_channel+c] =
                  sums_out[c*SUM_BITS+:SUM_BITS];
      end
    end else begin : g_lanes
      localparam int GR = HW_SYNC == SYNC_COLUMN || HW_SYNC == SYNC_ARRAY ? HW_ROWS : 1;
      localparam int GC = HW_SYNC == SYNC_ROW || HW_SYNC == SYNC_ARRAY ? HW_COLUMNS : 1;
      localparam int SG = (HW_ROWS / GR) * (HW_COLUMNS / GC);
      localparam int FINISHED =
          HW_ROWS * HW_COLUMNS * (HW_EMPTY_CHUNK_CYCLES == 0 ? HW_LOOKAHEAD : 1);
      logic [SG*32-1:0] group, first_pixel, first_channel, first_element;
      logic [SG*GR*HW_CHUNK*XB-1:0] activations;
      logic [SG*GC*HW_CHUNK*WB-1:0] weights;
      logic [SG*GC*SUM_BITS-1:0] initial_sums;
      logic [FINISHED-1:0] finished;
      logic [FINISHED*32-1:0] finished_groups, finished_pixels, finished_channels;
      logic [FINISHED*SUM_BITS-1:0] finished_sums;
      lanes #(
          .ROWS(HW_ROWS),
          .COLUMNS(HW_COLUMNS),
          .SYNC(HW_SYNC),
          .CHUNK(HW_CHUNK),
          .MACS(HW_MACS_PER_CYCLE),
          .EMPTY(HW_EMPTY_CHUNK_CYCLES),
          .INTERVAL(HW_BROADCAST_INTERVAL),
          .LOOKAHEAD(HW_LOOKAHEAD),
          .DRAIN(HW_DRAIN),
          .SKIP_ACTIVATIONS(HW_ZERO_ACTIVATIONS == ZEROS_SKIP ? 1 : 0),
          .SKIP_WEIGHTS(HW_ZERO_WEIGHTS == ZEROS_SKIP ? 1 : 0),
          .STYLE(HW_STYLE),
          .WEIGHT_BITS(WB),
          .ACTIVATION_BITS(XB),
          .PRODUCT_FRAC(PRODUCT_FRAC),
          .CAST_BITS(CAST_BITS),
          .CAST_FRAC(CAST_FRAC),
          .CAST_ROUNDING(CAST_ROUNDING),
          .CAST_OVERFLOW(CAST_OVERFLOW),
          .SUM_BITS(SUM_BITS),
          .SUM_ROUNDING(SUM_ROUNDING),
          .SUM_OVERFLOW(SUM_OVERFLOW)
      ) dut (
          .clk(clk),
          .rst(rst),
          .start(start),
          .groups(groups),
          .pixels(pixels),
          .channels(channels),
          .reduction(reduction),
          .busy(busy),
          .group(group),
          .first_pixel(first_pixel),
          .first_channel(first_channel),
          .first_element(first_element),
          .activations(activations),
          .weights(weights),
          .initial_sums(initial_sums),
          .finished(finished),
          .finished_groups(finished_groups),
          .finished_pixels(finished_pixels),
          .finished_channels(finished_channels),
          .finished_sums(finished_sums)
      );
      for (p = 0; p < SG; p = p + 1) begin : g_port
        logic [31:0] pixel, channel, first, element;
        always @(negedge clk) begin
          first = first_element[p*32+:32];
          for (int r = 0; r < GR; r = r + 1) begin
            pixel = first_pixel[p*32+:32] + r;
            for (int k = 0; k < HW_CHUNK; k = k + 1) begin
              element = first + k;
              activations[((p*GR+r)*HW_CHUNK+k)*XB+:XB] = pixel < pixels && element < reduction ?
                  patch_memory[(group[p*32+:32]*pixels+pixel)*reduction+element] : 0;
            end
          end
          for (int c = 0; c < GC; c = c + 1) begin
            channel = first_channel[p*32+:32] + c;
            for (int k = 0; k < HW_CHUNK; k = k + 1)
              weights[((p*GC+c)*HW_CHUNK+k)*WB+:WB] = channel < channels && first + k < reduction ?
                  weight_memory[(group[p*32+:32]*channels+channel)*reduction+first+k] : 0;
            initial_sums[(p*GC+c)*SUM_BITS+:SUM_BITS] = channel < channels ?
                initial_memory[group[p*32+:32]*channels+channel] : 0;
          end
        end
      end
      always @(posedge clk) begin
        for (int i = 0; i < FINISHED; i = i + 1)
          if (finished[i])
            sum_memory[(finished_pixels[i*32+:32]*groups+finished_groups[i*32+:32])*channels
                       +finished_channels[i*32+:32]] = finished_sums[i*SUM_BITS+:SUM_BITS];
      end
    end
  endgenerate

  // A line of the jobs: names and sizes of a layer, formats, paths.
  int jobs, fields, out_file, sum_file;
  string jobs_path;
  int number[0:10];

  task load;
    int i;
    $readmemh(weights_path, file_words, 0, groups * channels * reduction - 1);
    for (i = 0; i < groups * channels * reduction; i = i + 1)
      weight_memory[i] = WB'($signed(file_words[i] << (64 - weight_bits)) >>> (64 - weight_bits));
    $readmemh(patches_path, file_words, 0, groups * pixels * reduction - 1);
    for (i = 0; i < groups * pixels * reduction; i = i + 1)
      patch_memory[i] = activation_signed != 0 ?
          XB'($signed(file_words[i] << (64 - activation_bits)) >>> (64 - activation_bits))
          : XB'(file_words[i]);
    if (has_bias != 0) $readmemh(bias_path, file_words, 0, groups * channels - 1);
    for (i = 0; i < groups * channels; i = i + 1) begin
      bias = has_bias != 0 ? BIAS_BITS'(file_words[i]) : 0;
      #2 initial_memory[i] = begun;
    end
    for (i = 0; i < groups * channels * pixels; i = i + 1) sum_memory[i] = 'x;
  endtask

  task run;
    @(negedge clk) start = 1;
    @(negedge clk) start = 0;
    @(negedge clk);
    while (was_busy) @(negedge clk);
  endtask

  task store;
    int i;
    out_file = $fopen(ofmap_path, "w");
    sum_file = $fopen(accumulator_path, "w");
    for (i = 0; i < groups * channels * pixels; i = i + 1) begin
      sum = sum_memory[i];
      #2 $fwrite(out_file, "%h\n", word);
      $fwrite(sum_file, "%h\n", accumulator);
    end
    $fclose(out_file);
    $fclose(sum_file);
  endtask

  initial begin
    start = 0;
    rst = 1;
    @(negedge clk);
    @(negedge clk) rst = 0;
    if (!$value$plusargs("jobs=%s", jobs_path)) begin
      $display("give +jobs=FILE");
      $finish;
    end
    jobs = $fopen(jobs_path, "r");
    fields = 20;
    while (fields == 20) begin
      fields = $fscanf(jobs, "%s %d %d %d %d %d %d %d %d %d %d %d %d %s %s %s %s %s\n", layer, image,
          number[0], number[1], number[2], number[3], number[4], number[5], number[6], number[7],
          number[8], number[9], number[10], weights_path, bias_path, patches_path, ofmap_path,
          accumulator_path);
      if (fields == 18) begin
        // What $fscanf writes does not wake combinational logic in Verilator 5.006.
        groups = number[0];
        pixels = number[1];
        channels = number[2];
        reduction = number[3];
        weight_bits = number[4];
        activation_bits = number[5];
        activation_signed = number[6];
        has_bias = number[7];
        drop = number[8];
        relu = number[9];
        out_signed = number[10];
        ticking = 0;
        load;
        ticking = 1;
        run;
        ticking = 0;
        store;
        $display("cycles %0s %0d %0d", layer, image, cycles);
        fields = 20;
      end
    end
    $display("done");
    $finish;
  end
endmodule
