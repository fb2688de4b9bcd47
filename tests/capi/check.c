// Expected words are worked out in the comments beside them.
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bittrue.h"

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "line %d: %s; last error: %s\n", __LINE__, #condition,        \
                    bittrue_last_error());                                                \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

static void casts(void) {
    BittrueCast *cast = NULL;
    CHECK(bittrue_cast_open("s8f4", "s4f0", "half_even", "saturate", &cast) == BITTRUE_OK);
    CHECK(bittrue_cast(cast, 0x18) == 2);  // 1.5, half to even
    CHECK(bittrue_cast(cast, 0xe8) == -2); // -1.5
    CHECK(bittrue_cast(cast, -24) == -2);  // the same word, sign-extended
    int64_t word = 0;
    uint32_t flags = 0;
    CHECK(bittrue_cast_word(cast, 0x7f, 0, &word, &flags) == BITTRUE_OK);
    CHECK(word == 7 && flags == BITTRUE_OVERFLOW); // 7.9375 rounds to 8, beyond 7
    CHECK(bittrue_cast_word(cast, 1, 0, &word, &flags) == BITTRUE_OK);
    CHECK(word == 0 && flags == BITTRUE_UNDERFLOW); // 1/16
    bittrue_cast_close(cast);

    CHECK(bittrue_cast_open("s8f4", "s99f0", "floor", "wrap", &cast) == BITTRUE_REFUSED);
    CHECK(cast == NULL && strstr(bittrue_last_error(), "1 to 64 bits"));
    CHECK(bittrue_cast_open(NULL, "s4f0", "floor", "wrap", &cast) == BITTRUE_REFUSED);
    CHECK(strstr(bittrue_last_error(), "`from`"));
    CHECK(bittrue_cast_open("s8f4", "s4f0", "floor", "wrap", NULL) == BITTRUE_REFUSED);
    CHECK(bittrue_cast(NULL, 1) == 0);
    bittrue_cast_close(NULL);
}

// Weights s8f4, activations s8f4, accumulator s12f6: products have 8 fractional bits.
static const char *description(const char *style, char *text) {
    sprintf(text,
            "style = \"%s\"\n"
            "weights = \"s8f4\"\nactivations = \"s8f4\"\nbias = \"s8f4\"\n"
            "accumulator = { format = \"s12f6\", rounding = \"floor\", overflow = \"saturate\" }\n"
            "output = { format = \"s8f2\", rounding = \"half_up\", overflow = \"saturate\" }\n",
            style);
    return text;
}

static void chains(void) {
    char text[512];
    // Each product is 3 · 1 / 256: three quarters of an accumulator's unit, which floor drops at
    // every step unless the style is exact, where 4 of them are 3 units. The bias 16/16 is 64.
    const int32_t weights[4] = {3, 3, 3, 3}, activations[4] = {1, 1, 1, 1};
    struct {
        const char *style;
        int64_t accumulator;
    } const cases[] = {{"fused", 64}, {"product_cast", 64}, {"exact", 67}};
    for (int i = 0; i < 3; i++) {
        BittrueChain *chain = NULL;
        CHECK(bittrue_chain_open(NULL, description(cases[i].style, text), &chain) == BITTRUE_OK);
        int64_t accumulator = 0, word = 0, sums[5];
        uint32_t flags = 0;
        CHECK(bittrue_chain_run(chain, weights, activations, 4, 16, &accumulator, &word, &flags,
                                sums) == BITTRUE_OK);
        CHECK(accumulator == cases[i].accumulator);
        CHECK(word == 4); // 64 or 67 / 64 in quarters
        // A nonzero product that the floor makes zero is an underflow of the product; the
        // accumulator is never zero.
        CHECK(flags == (i == 1 ? BITTRUE_PRODUCT_UNDERFLOW : 0));
        CHECK(bittrue_mac_finish(chain, sums[4]) == accumulator);

        int64_t held = bittrue_mac_start(chain, 16);
        CHECK(held == sums[0]);
        for (int step = 0; step < 4; step++) {
            held = bittrue_mac_step(chain, held, weights[step], activations[step]);
            CHECK(held == sums[step + 1]);
        }
        CHECK(bittrue_mac_finish(chain, held) == accumulator);
        CHECK(bittrue_requantize(chain, accumulator) == word);

        bittrue_chain_begin(chain, 16);
        for (int step = 0; step < 4; step++) bittrue_chain_push(chain, 3, 1);
        CHECK(bittrue_chain_accumulator(chain) == accumulator);
        CHECK(bittrue_chain_result(chain) == word);

        // 127 · 127 / 256 = 63.004 exceeds 2047 / 64 = 31.98.
        const int32_t large = 127;
        CHECK(bittrue_chain_run(chain, &large, &large, 1, 0, &accumulator, NULL, &flags, NULL) ==
              BITTRUE_OK);
        // The product's cast, which has the accumulator's format, is where it saturates.
        CHECK(accumulator == 2047);
        CHECK(flags & (i == 1 ? BITTRUE_PRODUCT_OVERFLOW : BITTRUE_ACCUMULATOR_OVERFLOW));
        CHECK(bittrue_chain_run(chain, NULL, NULL, 1, 0, NULL, NULL, NULL, NULL) ==
              BITTRUE_REFUSED);
        bittrue_chain_close(chain);
    }
    BittrueChain *chain = NULL;
    CHECK(bittrue_chain_open(NULL, "weights = 8", &chain) == BITTRUE_REFUSED && chain == NULL);
    CHECK(bittrue_mac_step(NULL, 1, 2, 3) == 0);
}

static BittrueModel *model;

// All layers of the network from the map of the last thread's image: as words, and word by word.
static void *layers(void *unused) {
    (void)unused;
    int layer = bittrue_layer_find(model, "conv1");
    CHECK(layer > 0 && strcmp(bittrue_layer_name(model, (uint32_t)layer), "conv1") == 0);
    BittrueLayer info;
    CHECK(bittrue_layer_info(model, (uint32_t)layer, &info) == BITTRUE_OK);
    CHECK(info.is_mac && info.inputs == 1 && info.input_shape[1] == 28);
    uint64_t n = (uint64_t)info.input_shape[0] * info.input_shape[1] * info.input_shape[2];
    uint64_t m = (uint64_t)info.output_shape[0] * info.output_shape[1] * info.output_shape[2];
    int64_t *map = calloc(n, sizeof *map), *output = calloc(m, sizeof *output);
    for (uint64_t i = 0; i < n; i++) map[i] = (int64_t)(i * 37 % 101);
    const int64_t *inputs[1] = {map};
    CHECK(bittrue_layer_run(model, (uint32_t)layer, 0, inputs, &n, 1, output, m) == BITTRUE_OK);
    uint64_t nonzero = 0;
    for (int32_t channel = 0; channel < info.output_shape[0]; channel += 3) {
        for (int32_t place = 0; place < info.output_shape[1]; place += 5) {
            int64_t word = 0;
            CHECK(bittrue_output_word(model, (uint32_t)layer, 0, map, n, (uint32_t)channel,
                                      (uint32_t)place, (uint32_t)place, NULL, &word,
                                      NULL) == BITTRUE_OK);
            int64_t at = ((int64_t)place * info.output_shape[2] + place) * info.output_shape[0];
            CHECK(word == output[at + channel]);
            nonzero += word != 0;
        }
    }
    CHECK(nonzero > 0);
    int64_t *again = calloc(m, sizeof *again);
    CHECK(bittrue_layer_map(model, (uint32_t)layer, 0, map, n, again, m) == BITTRUE_OK);
    CHECK(memcmp(again, output, m * sizeof *again) == 0);
    free(again);
    CHECK(bittrue_layer_run(model, (uint32_t)layer, 0, inputs, &n, 1, output, m - 1) ==
          BITTRUE_REFUSED);
    CHECK(bittrue_layer_run(model, 0, 0, inputs, &n, 1, output, m) == BITTRUE_REFUSED);
    CHECK(bittrue_layer_info(model, 1000, &info) == BITTRUE_REFUSED);
    free(map);
    free(output);
    return NULL;
}

static void models(void) {
    CHECK(bittrue_open("lanes_act_16x16", "lenet5", "", 0, &model) == BITTRUE_OK);
    CHECK(bittrue_layer_count(model) > 4);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, layers, NULL) == 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    BittrueChain *chain = NULL;
    CHECK(bittrue_chain_of_layer(model, 0, 0, &chain) == BITTRUE_REFUSED);
    CHECK(bittrue_chain_of_layer(model, (uint32_t)bittrue_layer_find(model, "conv1"), 0, &chain) ==
          BITTRUE_OK);
    bittrue_chain_close(chain);
    bittrue_close(model);

    CHECK(bittrue_open("lanes_act_16x16", NULL, NULL, 0, &model) == BITTRUE_OK);
    CHECK(bittrue_layer_count(model) == 0 && bittrue_layer_find(model, "conv1") == -1);
    bittrue_close(model);
    CHECK(bittrue_open("no_such_hardware", NULL, NULL, 0, &model) == BITTRUE_REFUSED);
    CHECK(model == NULL && strstr(bittrue_last_error(), "no_such_hardware"));
}

static void speed(void) {
    char text[512];
    BittrueChain *chain = NULL;
    CHECK(bittrue_chain_open(NULL, description("fused", text), &chain) == BITTRUE_OK);
    const int steps = 2000000;
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    int64_t held = bittrue_mac_start(chain, 16);
    for (int i = 0; i < steps; i++) held = bittrue_mac_step(chain, held, i * 7, i * 13);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    printf("%.1f million steps a second, ending at %" PRId64 "\n", steps / seconds / 1e6, held);
    bittrue_chain_close(chain);
}

int main(void) {
    CHECK(bittrue_abi() == BITTRUE_ABI);
    CHECK(strlen(bittrue_version()) > 0);
    casts();
    chains();
    models();
    speed();
    return 0;
}
