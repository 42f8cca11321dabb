// A peer worker around whisper.cpp: whispercpp_worker MODEL WAV THREADS. Reads "round" lines, prints one JSON line each, like the Python workers.
// Build beside a whisper.cpp build: g++ -O2 -I include -I ggml/include whispercpp_worker.cpp build/src/libwhisper.a -Wl,--start-group build/ggml/src/*.a -Wl,--end-group -fopenmp -ldl
#include <sys/resource.h>
#include <time.h>

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

static double cpu_ms() {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e3 + now.tv_nsec * 1e-6;
}

// Wall and CPU milliseconds since it was made.
struct stopwatch {
    clock_type::time_point start = clock_type::now();
    double cpu_start = cpu_ms();
    double wall() const { return std::chrono::duration<double, std::milli>(clock_type::now() - start).count(); }
    double cpu() const { return cpu_ms() - cpu_start; }
};

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
    const stopwatch loading;
    whisper_context_params params = whisper_context_default_params();
    params.use_gpu = false;
    params.flash_attn = true;
    whisper_context * ctx = whisper_init_from_file_with_params(argv[1], params);
    if (!ctx || pcm.empty()) return 1;
    std::printf("{\"load\": %.1f}\n", loading.wall());
    std::fflush(stdout);
    const int eot = whisper_token_eot(ctx), vocab = whisper_n_vocab(ctx);
    for (std::string line; std::getline(std::cin, line);) {
        const stopwatch whole;
        stopwatch part;
        whisper_pcm_to_mel(ctx, pcm.data(), pcm.size(), threads);
        const double mel = part.wall(), c_mel = part.cpu();
        part = stopwatch();
        whisper_encode(ctx, 0, threads);
        const double enc = part.wall(), c_enc = part.cpu();
        part = stopwatch();
        const whisper_token prompt[] = {whisper_token_sot(ctx), whisper_token_not(ctx)};
        whisper_decode(ctx, prompt, 2, 0, threads);
        const double prefill = part.wall(), c_prefill = part.cpu();
        part = stopwatch();
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
        const double steps = part.wall(), c_steps = part.cpu(), total = whole.wall(), c_total = whole.cpu();
        const int divisor = count ? count : 1;
        rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        std::string quoted;
        for (char c : text) quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
        std::printf("{\"mel\": %.3f, \"enc\": %.3f, \"prefill\": %.3f, \"tok\": %.4f, \"total\": %.3f, \"c_mel\": %.3f, \"c_enc\": %.3f, \"c_prefill\": %.3f, \"c_tok\": %.4f, "
                    "\"c_total\": %.3f, \"ntok\": %d, \"rss_mb\": %.1f, \"text\": \"%s\"}\n",
                    mel, enc, prefill, steps / divisor, total, c_mel, c_enc, c_prefill, c_steps / divisor, c_total, count, usage.ru_maxrss / 1024.0, quoted.c_str());
        std::fflush(stdout);
    }
    whisper_free(ctx);
}
