// A peer worker around whisper.cpp: whispercpp_worker MODEL WAV THREADS. Reads "round" lines, prints one JSON line each, like the Python workers.
// Build beside a whisper.cpp build: g++ -O2 -I include -I ggml/include whispercpp_worker.cpp build/src/libwhisper.a -Wl,--start-group build/ggml/src/*.a -Wl,--end-group -fopenmp -ldl
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "whisper.h"

using clock_type = std::chrono::steady_clock;

static double ms_since(clock_type::time_point start) { return std::chrono::duration<double, std::milli>(clock_type::now() - start).count(); }

// 16-bit mono 16 kHz, "data" chunk found by its name.
static std::vector<float> read_wav(const char * path) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(file)), {});
    size_t at = bytes.find("data");
    if (at == std::string::npos) return {};
    uint32_t length;
    std::memcpy(&length, &bytes[at + 4], 4);
    const int16_t * samples = reinterpret_cast<const int16_t *>(&bytes[at + 8]);
    std::vector<float> out(length / 2);
    for (size_t i = 0; i < out.size(); i++) out[i] = samples[i] / 32768.0f;
    return out;
}

int main(int argc, char ** argv) {
    if (argc != 4) return 2;
    whisper_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    const std::vector<float> pcm = read_wav(argv[2]);
    const int threads = std::stoi(argv[3]);
    auto start = clock_type::now();
    whisper_context_params params = whisper_context_default_params();
    params.use_gpu = false;
    params.flash_attn = true;
    whisper_context * ctx = whisper_init_from_file_with_params(argv[1], params);
    if (!ctx || pcm.empty()) return 1;
    std::printf("{\"load\": %.1f}\n", ms_since(start));
    std::fflush(stdout);
    const int eot = whisper_token_eot(ctx), vocab = whisper_n_vocab(ctx);
    for (std::string line; std::getline(std::cin, line);) {
        auto whole = clock_type::now();
        start = whole;
        whisper_pcm_to_mel(ctx, pcm.data(), pcm.size(), threads);
        const double mel = ms_since(start);
        start = clock_type::now();
        whisper_encode(ctx, 0, threads);
        const double enc = ms_since(start);
        start = clock_type::now();
        const whisper_token prompt[] = {whisper_token_sot(ctx), whisper_token_not(ctx)};
        whisper_decode(ctx, prompt, 2, 0, threads);
        const double prefill = ms_since(start);
        start = clock_type::now();
        std::string text;
        int count = 0;
        for (int past = 2; count < 200; past++, count++) {
            // The prefill's logits are those of its last token.
            const float * logits = whisper_get_logits(ctx) + (count == 0 ? (size_t) vocab : 0);
            int best = 0;
            for (int i = 1; i <= eot; i++)
                if (!(count == 0 && i == eot) && logits[i] > logits[best]) best = i;
            if (best == eot) break;
            text += whisper_token_to_str(ctx, best);
            const whisper_token next = best;
            whisper_decode(ctx, &next, 1, past, threads);
        }
        const double steps = ms_since(start);
        rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        std::string quoted;
        for (char c : text) quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
        std::printf("{\"mel\": %.3f, \"enc\": %.3f, \"prefill\": %.3f, \"tok\": %.4f, \"ntok\": %d, \"total\": %.3f, \"rss_mb\": %.1f, \"text\": \"%s\"}\n", mel, enc, prefill,
                    steps / (count ? count : 1), count, ms_since(whole), usage.ru_maxrss / 1024.0, quoted.c_str());
        std::fflush(stdout);
    }
    whisper_free(ctx);
}
