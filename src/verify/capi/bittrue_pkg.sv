// The DPI-C interface of bittrue; what each function does is in bittrue.h.
// Words are 64-bit integers of which the low W bits of the format count; results are sign-extended,
// or zero-extended in unsigned formats. An empty string stands for an argument that is left out.
package bittrue_pkg;

  localparam int BITTRUE_ABI = 1;

  localparam int BITTRUE_OK = 0;
  localparam int BITTRUE_REFUSED = 1;
  localparam int BITTRUE_FAILED = 2;

  localparam int unsigned BITTRUE_ACCUMULATOR_OVERFLOW = 1;
  localparam int unsigned BITTRUE_ACCUMULATOR_UNDERFLOW = 2;
  localparam int unsigned BITTRUE_PRODUCT_OVERFLOW = 4;
  localparam int unsigned BITTRUE_PRODUCT_UNDERFLOW = 8;
  localparam int unsigned BITTRUE_OVERFLOW = 16;
  localparam int unsigned BITTRUE_UNDERFLOW = 32;

  import "DPI-C" function string bittrue_last_error();
  import "DPI-C" function string bittrue_version();
  import "DPI-C" function int unsigned bittrue_abi();

  // A hardware model and a network on it.
  import "DPI-C" function int bittrue_open(
    input string hardware, input string network, input string plan,
    input longint unsigned seed, output chandle model);
  import "DPI-C" function void bittrue_close(input chandle model);
  import "DPI-C" function int bittrue_layer_count(input chandle model);
  import "DPI-C" function int bittrue_layer_find(input chandle model, input string name);
  import "DPI-C" function string bittrue_layer_name(input chandle model, input int unsigned layer);
  import "DPI-C" function int bittrue_layer_shape(
    input chandle model, input int unsigned layer,
    output int input_channels, output int input_rows, output int input_columns,
    output int output_channels, output int output_rows, output int output_columns);

  // Casts.
  import "DPI-C" function int bittrue_cast_open(
    input string from, input string to, input string rounding, input string overflow,
    output chandle cast_handle);
  import "DPI-C" function void bittrue_cast_close(input chandle cast_handle);
  import "DPI-C" function longint bittrue_cast(input chandle cast_handle, input longint word);
  import "DPI-C" function int bittrue_cast_word(
    input chandle cast_handle, input longint word, input longint unsigned random,
    output longint result, output int unsigned flags);

  // The datapath of one output word.
  import "DPI-C" function int bittrue_chain_open(
    input chandle model, input string description, output chandle chain);
  import "DPI-C" function int bittrue_chain_of_layer(
    input chandle model, input int unsigned layer, input int unsigned channel,
    output chandle chain);
  import "DPI-C" function void bittrue_chain_close(input chandle chain);

  // In lock-step: the accumulator after each product.
  import "DPI-C" function longint bittrue_mac_start(input chandle chain, input longint bias);
  import "DPI-C" function longint bittrue_mac_step(
    input chandle chain, input longint accumulator, input int weight, input int activation);
  import "DPI-C" function longint bittrue_mac_finish(
    input chandle chain, input longint accumulator);
  import "DPI-C" function longint bittrue_requantize(
    input chandle chain, input longint accumulator);
  import "DPI-C" function int bittrue_requantize_word(
    input chandle chain, input longint accumulator,
    output longint word, output int unsigned flags);

  // Whole chains: operands are pushed, the result is asked for.
  import "DPI-C" function void bittrue_chain_begin(input chandle chain, input longint bias);
  import "DPI-C" function void bittrue_chain_push(
    input chandle chain, input int weight, input int activation);
  import "DPI-C" function longint bittrue_chain_accumulator(input chandle chain);
  import "DPI-C" function longint bittrue_chain_result(input chandle chain);

  // Takes nothing for granted: stops the simulation with the library's message.
  function automatic void bittrue_check(input int code);
    if (code != BITTRUE_OK) $fatal(1, "bittrue: %s", bittrue_last_error());
  endfunction

endpackage
