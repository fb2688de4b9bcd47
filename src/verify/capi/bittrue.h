// The C interface of bittrue, generated from src/verify/capi by cbindgen: do not edit.

#ifndef BITTRUE_H
#define BITTRUE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// Number of the interface; grows when a function changes or goes.
#define BITTRUE_ABI 1

// All went well.
#define BITTRUE_OK 0

// An argument or a file was refused; `bittrue_last_error` says which and why.
#define BITTRUE_REFUSED 1

// The library failed; `bittrue_last_error` says how.
#define BITTRUE_FAILED 2

// Flag: the accumulator overflowed.
#define BITTRUE_ACCUMULATOR_OVERFLOW 1

// Flag: a cast into the accumulator made a nonzero value zero.
#define BITTRUE_ACCUMULATOR_UNDERFLOW 2

// Flag: a product overflowed.
#define BITTRUE_PRODUCT_OVERFLOW 4

// Flag: a product became zero by its cast.
#define BITTRUE_PRODUCT_UNDERFLOW 8

// Flag: the result word overflowed.
#define BITTRUE_OVERFLOW 16

// Flag: a nonzero value became zero in the result word.
#define BITTRUE_UNDERFLOW 32

// A cast from one format into another.
typedef struct BittrueCast BittrueCast;

// The datapath of one output word.
typedef struct BittrueChain BittrueChain;

// A hardware model and a network on it.
typedef struct BittrueModel BittrueModel;

// Shapes and formats of a layer. Unused fields are 0.
typedef struct BittrueLayer {
  // Whether it is a multiply-accumulate layer.
  int32_t is_mac;
  // Feature maps that it reads.
  int32_t inputs;
  // Channels, rows and columns of the first map that it reads.
  int32_t input_shape[3];
  // Channels, rows and columns of the map that it writes.
  int32_t output_shape[3];
  // Kernel rows and columns.
  int32_t kernel[2];
  // Vertical and horizontal stride.
  int32_t stride[2];
  // Padding: top, left, bottom, right.
  int32_t padding[4];
  // Groups.
  int32_t groups;
  // Products of one output word.
  int32_t reduction;
  // Width of the output words in bits.
  int32_t output_bits;
  // Fractional bits of the output words.
  int32_t output_frac;
  // Whether the output words are signed.
  int32_t output_signed;
} BittrueLayer;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens a cast between formats in short form (`s16f8`), with the names of rounding and overflow
// modes that plans use, or those of `ap_fixed`.
//
// # Safety
//
// Texts end in a zero byte; `cast` can be written.
int32_t bittrue_cast_open(const char *from,
                          const char *to,
                          const char *rounding,
                          const char *overflow,
                          struct BittrueCast **cast);

// Frees a cast.
//
// # Safety
//
// `cast` is null or a handle that is not used again.
void bittrue_cast_close(struct BittrueCast *cast);

// Casts a word. `random` decides stochastic rounding; `flags` may be null.
//
// # Safety
//
// `cast` is an open handle; `result` and `flags` are null or can be written.
int32_t bittrue_cast_word(const struct BittrueCast *cast,
                          int64_t word,
                          uint64_t random,
                          int64_t *result,
                          uint32_t *flags);

// Casts a word: the result itself, for expressions. A null handle gives 0.
//
// # Safety
//
// `cast` is null or an open handle.
int64_t bittrue_cast(const struct BittrueCast *cast, int64_t word);

// Opens the chain that `description`, a TOML text, describes; see `docs/verification.md`. Where it
// leaves out style or adder tree, they are those of `model`'s hardware, which may be null.
//
// # Safety
//
// `model` is null or an open handle; the text ends in a zero byte; `chain` can be written.
int32_t bittrue_chain_open(const struct BittrueModel *model,
                           const char *description,
                           struct BittrueChain **chain);

// Opens the chain of output channel `channel` of a multiply-accumulate layer.
//
// # Safety
//
// `model` is an open handle; `chain` can be written.
int32_t bittrue_chain_of_layer(const struct BittrueModel *model,
                               uint32_t layer,
                               uint32_t channel,
                               struct BittrueChain **chain);

// Frees a chain.
//
// # Safety
//
// `chain` is null or a handle that is not used again.
void bittrue_chain_close(struct BittrueChain *chain);

// Runs a chain over `count` pairs of words in accumulation order. The bias counts if the chain has
// one. Results are written where their pointers are not null: the accumulator, the output word,
// flags, and in `partial_sums` what the accumulator holds at the start and after every
// accumulation: 1 + ⌈count / adder tree⌉ words. In the exact style they are sums without loss,
// modulo 2^64, at the finer of the binary points of product and accumulator.
//
// # Safety
//
// `chain` is an open handle; `weights` and `activations` hold `count` words; the others are null or
// can be written.
int32_t bittrue_chain_run(const struct BittrueChain *chain,
                          const int32_t *weights,
                          const int32_t *activations,
                          uint64_t count,
                          int64_t bias,
                          int64_t *accumulator,
                          int64_t *word,
                          uint32_t *flags,
                          int64_t *partial_sums);

// The output word of an accumulator. `word` and `flags` may be null.
//
// # Safety
//
// `chain` is an open handle; `word` and `flags` are null or can be written.
int32_t bittrue_requantize_word(const struct BittrueChain *chain,
                                int64_t accumulator,
                                int64_t *word,
                                uint32_t *flags);

// The output word of an accumulator itself, for expressions. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_requantize(const struct BittrueChain *chain, int64_t accumulator);

// What the accumulator holds before the first product: the bias, cast. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_mac_start(const struct BittrueChain *chain, int64_t bias);

// The accumulator after one more product, each accumulated by itself whatever the adder tree. In
// the exact style it is the sum without loss, modulo 2^64, at the finer of the binary points of
// product and accumulator. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_mac_step(const struct BittrueChain *chain,
                         int64_t accumulator,
                         int32_t weight,
                         int32_t activation);

// The accumulator after the last product: in the exact style its one cast, else itself. A null
// handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_mac_finish(const struct BittrueChain *chain, int64_t accumulator);

// Forgets what was pushed and begins with a bias.
//
// # Safety
//
// `chain` is null or an open handle.
void bittrue_chain_begin(const struct BittrueChain *chain, int64_t bias);

// Adds a pair to what was pushed, in accumulation order.
//
// # Safety
//
// `chain` is null or an open handle.
void bittrue_chain_push(const struct BittrueChain *chain, int32_t weight, int32_t activation);

// The accumulator of what was pushed, the adder tree included. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_chain_accumulator(const struct BittrueChain *chain);

// The output word of what was pushed. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_chain_result(const struct BittrueChain *chain);

// What the last refused call of this thread found; valid until its next refused call.
const char *bittrue_last_error(void);

// Number of the interface: `BITTRUE_ABI` of the header that belongs to this library.
uint32_t bittrue_abi(void);

// Version of bittrue.
const char *bittrue_version(void);

// One output word of a multiply-accumulate layer, from the `count` words that enter its multipliers.
// `image` numbers the draws of stochastic rounding. Quantizers that follow the cast (tables, sparse
// ones) are left out: run the layer for those. `accumulator`, `word` and `flags` may be null.
//
// # Safety
//
// `model` is an open handle; `input` holds `count` words; the others are null or can be written.
int32_t bittrue_output_word(const struct BittrueModel *model,
                            uint32_t layer,
                            uint64_t image,
                            const int64_t *input,
                            uint64_t count,
                            uint32_t channel,
                            uint32_t row,
                            uint32_t column,
                            int64_t *accumulator,
                            int64_t *word,
                            uint32_t *flags);

// Runs a layer: `inputs` points at `count` maps of `lengths` words each, those that the layer
// reads; its words go to `output`, of `length` words. `image` numbers the draws of stochastic
// rounding.
//
// # Safety
//
// `model` is an open handle; `inputs` and `lengths` hold `count` elements, and the maps as many
// words as `lengths` says; `output` takes `length` words.
int32_t bittrue_layer_run(const struct BittrueModel *model,
                          uint32_t layer,
                          uint64_t image,
                          const int64_t *const *inputs,
                          const uint64_t *lengths,
                          uint64_t count,
                          int64_t *output,
                          uint64_t length);

// As `bittrue_layer_run` for a layer that reads one map. Flat, so that a testbench can import it with
// arrays of its own lengths.
//
// # Safety
//
// `model` is an open handle; `input` holds `count` words and `output` takes `length`.
int32_t bittrue_layer_map(const struct BittrueModel *model,
                          uint32_t layer,
                          uint64_t image,
                          const int64_t *input,
                          uint64_t count,
                          int64_t *output,
                          uint64_t length);

// As `bittrue_layer_run`, with words of 32 bits.
//
// # Safety
//
// As `bittrue_layer_run`.
int32_t bittrue_layer_run32(const struct BittrueModel *model,
                            uint32_t layer,
                            uint64_t image,
                            const int32_t *const *inputs,
                            const uint64_t *lengths,
                            uint64_t count,
                            int32_t *output,
                            uint64_t length);

// Opens a hardware model and a network on it, by shipped names or files. `network` may be null or
// empty, for chains alone; so may `plan`, for the default plan or the network's own quantization.
// `seed` is that of stochastic rounding and of synthetic weights.
//
// # Safety
//
// Texts are null or end in a zero byte; `model` can be written.
int32_t bittrue_open(const char *hardware,
                     const char *network,
                     const char *plan,
                     uint64_t seed,
                     struct BittrueModel **model);

// Frees a model. Chains that were opened from it stay.
//
// # Safety
//
// `model` is null or a handle that is not used again.
void bittrue_close(struct BittrueModel *model);

// Number of layers; 0 without a network.
//
// # Safety
//
// `model` is null or an open handle.
int32_t bittrue_layer_count(const struct BittrueModel *model);

// Number of the layer of a name, −1 if there is none.
//
// # Safety
//
// `model` is null or an open handle; the text ends in a zero byte.
int32_t bittrue_layer_find(const struct BittrueModel *model, const char *name);

// Name of a layer, null if there is none. It lives as long as the model.
//
// # Safety
//
// `model` is null or an open handle.
const char *bittrue_layer_name(const struct BittrueModel *model, uint32_t layer);

// Shapes and formats of a layer.
//
// # Safety
//
// `model` is an open handle; `info` can be written.
int32_t bittrue_layer_info(const struct BittrueModel *model,
                           uint32_t layer,
                           struct BittrueLayer *info);

// Channels, rows and columns of the first map that a layer reads and of the one that it writes;
// places may be null.
//
// # Safety
//
// `model` is an open handle; the places are null or can be written.
int32_t bittrue_layer_shape(const struct BittrueModel *model,
                            uint32_t layer,
                            int32_t *input_channels,
                            int32_t *input_rows,
                            int32_t *input_columns,
                            int32_t *output_channels,
                            int32_t *output_rows,
                            int32_t *output_columns);

// What the last refused call of this thread found; valid until its next refused call.
const char *bittrue_last_error(void);

// Number of the interface: `BITTRUE_ABI` of the header that belongs to this library.
uint32_t bittrue_abi(void);

// Version of bittrue.
const char *bittrue_version(void);

// Opens a cast between formats in short form (`s16f8`), with the names of rounding and overflow
// modes that plans use, or those of `ap_fixed`.
//
// # Safety
//
// Texts end in a zero byte; `cast` can be written.
int32_t bittrue_cast_open(const char *from,
                          const char *to,
                          const char *rounding,
                          const char *overflow,
                          struct BittrueCast **cast);

// Frees a cast.
//
// # Safety
//
// `cast` is null or a handle that is not used again.
void bittrue_cast_close(struct BittrueCast *cast);

// Casts a word. `random` decides stochastic rounding; `flags` may be null.
//
// # Safety
//
// `cast` is an open handle; `result` and `flags` are null or can be written.
int32_t bittrue_cast_word(const struct BittrueCast *cast,
                          int64_t word,
                          uint64_t random,
                          int64_t *result,
                          uint32_t *flags);

// Casts a word: the result itself, for expressions. A null handle gives 0.
//
// # Safety
//
// `cast` is null or an open handle.
int64_t bittrue_cast(const struct BittrueCast *cast, int64_t word);

// Opens the chain that `description`, a TOML text, describes; see `docs/verification.md`. Where it
// leaves out style or adder tree, they are those of `model`'s hardware, which may be null.
//
// # Safety
//
// `model` is null or an open handle; the text ends in a zero byte; `chain` can be written.
int32_t bittrue_chain_open(const struct BittrueModel *model,
                           const char *description,
                           struct BittrueChain **chain);

// Opens the chain of output channel `channel` of a multiply-accumulate layer.
//
// # Safety
//
// `model` is an open handle; `chain` can be written.
int32_t bittrue_chain_of_layer(const struct BittrueModel *model,
                               uint32_t layer,
                               uint32_t channel,
                               struct BittrueChain **chain);

// Frees a chain.
//
// # Safety
//
// `chain` is null or a handle that is not used again.
void bittrue_chain_close(struct BittrueChain *chain);

// Runs a chain over `count` pairs of words in accumulation order. The bias counts if the chain has
// one. Results are written where their pointers are not null: the accumulator, the output word,
// flags, and in `partial_sums` what the accumulator holds at the start and after every
// accumulation: 1 + ⌈count / adder tree⌉ words. In the exact style they are sums without loss,
// modulo 2^64, at the finer of the binary points of product and accumulator.
//
// # Safety
//
// `chain` is an open handle; `weights` and `activations` hold `count` words; the others are null or
// can be written.
int32_t bittrue_chain_run(const struct BittrueChain *chain,
                          const int32_t *weights,
                          const int32_t *activations,
                          uint64_t count,
                          int64_t bias,
                          int64_t *accumulator,
                          int64_t *word,
                          uint32_t *flags,
                          int64_t *partial_sums);

// The output word of an accumulator. `word` and `flags` may be null.
//
// # Safety
//
// `chain` is an open handle; `word` and `flags` are null or can be written.
int32_t bittrue_requantize_word(const struct BittrueChain *chain,
                                int64_t accumulator,
                                int64_t *word,
                                uint32_t *flags);

// The output word of an accumulator itself, for expressions. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_requantize(const struct BittrueChain *chain, int64_t accumulator);

// What the accumulator holds before the first product: the bias, cast. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_mac_start(const struct BittrueChain *chain, int64_t bias);

// The accumulator after one more product, each accumulated by itself whatever the adder tree. In
// the exact style it is the sum without loss, modulo 2^64, at the finer of the binary points of
// product and accumulator. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_mac_step(const struct BittrueChain *chain,
                         int64_t accumulator,
                         int32_t weight,
                         int32_t activation);

// The accumulator after the last product: in the exact style its one cast, else itself. A null
// handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_mac_finish(const struct BittrueChain *chain, int64_t accumulator);

// Forgets what was pushed and begins with a bias.
//
// # Safety
//
// `chain` is null or an open handle.
void bittrue_chain_begin(const struct BittrueChain *chain, int64_t bias);

// Adds a pair to what was pushed, in accumulation order.
//
// # Safety
//
// `chain` is null or an open handle.
void bittrue_chain_push(const struct BittrueChain *chain, int32_t weight, int32_t activation);

// The accumulator of what was pushed, the adder tree included. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_chain_accumulator(const struct BittrueChain *chain);

// The output word of what was pushed. A null handle gives 0.
//
// # Safety
//
// `chain` is null or an open handle.
int64_t bittrue_chain_result(const struct BittrueChain *chain);

// Opens a hardware model and a network on it, by shipped names or files. `network` may be null or
// empty, for chains alone; so may `plan`, for the default plan or the network's own quantization.
// `seed` is that of stochastic rounding and of synthetic weights.
//
// # Safety
//
// Texts are null or end in a zero byte; `model` can be written.
int32_t bittrue_open(const char *hardware,
                     const char *network,
                     const char *plan,
                     uint64_t seed,
                     struct BittrueModel **model);

// Frees a model. Chains that were opened from it stay.
//
// # Safety
//
// `model` is null or a handle that is not used again.
void bittrue_close(struct BittrueModel *model);

// Number of layers; 0 without a network.
//
// # Safety
//
// `model` is null or an open handle.
int32_t bittrue_layer_count(const struct BittrueModel *model);

// Number of the layer of a name, −1 if there is none.
//
// # Safety
//
// `model` is null or an open handle; the text ends in a zero byte.
int32_t bittrue_layer_find(const struct BittrueModel *model, const char *name);

// Name of a layer, null if there is none. It lives as long as the model.
//
// # Safety
//
// `model` is null or an open handle.
const char *bittrue_layer_name(const struct BittrueModel *model, uint32_t layer);

// Shapes and formats of a layer.
//
// # Safety
//
// `model` is an open handle; `info` can be written.
int32_t bittrue_layer_info(const struct BittrueModel *model,
                           uint32_t layer,
                           struct BittrueLayer *info);

// Channels, rows and columns of the first map that a layer reads and of the one that it writes;
// places may be null.
//
// # Safety
//
// `model` is an open handle; the places are null or can be written.
int32_t bittrue_layer_shape(const struct BittrueModel *model,
                            uint32_t layer,
                            int32_t *input_channels,
                            int32_t *input_rows,
                            int32_t *input_columns,
                            int32_t *output_channels,
                            int32_t *output_rows,
                            int32_t *output_columns);

// One output word of a multiply-accumulate layer, from the `count` words that enter its multipliers.
// `image` numbers the draws of stochastic rounding. Quantizers that follow the cast (tables, sparse
// ones) are left out: run the layer for those. `accumulator`, `word` and `flags` may be null.
//
// # Safety
//
// `model` is an open handle; `input` holds `count` words; the others are null or can be written.
int32_t bittrue_output_word(const struct BittrueModel *model,
                            uint32_t layer,
                            uint64_t image,
                            const int64_t *input,
                            uint64_t count,
                            uint32_t channel,
                            uint32_t row,
                            uint32_t column,
                            int64_t *accumulator,
                            int64_t *word,
                            uint32_t *flags);

// Runs a layer: `inputs` points at `count` maps of `lengths` words each, those that the layer
// reads; its words go to `output`, of `length` words. `image` numbers the draws of stochastic
// rounding.
//
// # Safety
//
// `model` is an open handle; `inputs` and `lengths` hold `count` elements, and the maps as many
// words as `lengths` says; `output` takes `length` words.
int32_t bittrue_layer_run(const struct BittrueModel *model,
                          uint32_t layer,
                          uint64_t image,
                          const int64_t *const *inputs,
                          const uint64_t *lengths,
                          uint64_t count,
                          int64_t *output,
                          uint64_t length);

// As `bittrue_layer_run` for a layer that reads one map. Flat, so that a testbench can import it with
// arrays of its own lengths.
//
// # Safety
//
// `model` is an open handle; `input` holds `count` words and `output` takes `length`.
int32_t bittrue_layer_map(const struct BittrueModel *model,
                          uint32_t layer,
                          uint64_t image,
                          const int64_t *input,
                          uint64_t count,
                          int64_t *output,
                          uint64_t length);

// As `bittrue_layer_run`, with words of 32 bits.
//
// # Safety
//
// As `bittrue_layer_run`.
int32_t bittrue_layer_run32(const struct BittrueModel *model,
                            uint32_t layer,
                            uint64_t image,
                            const int32_t *const *inputs,
                            const uint64_t *lengths,
                            uint64_t count,
                            int32_t *output,
                            uint64_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BITTRUE_H */
