/* Loads a SavedModel the way TensorFlow Serving does, without Python, and runs it.
 *
 *   loader SAVED_MODEL REQUESTS ANSWERS [LIBRARY...]
 *
 * LIBRARY: op libraries to load first (TF Text's). REQUESTS and ANSWERS are little-endian binary files:
 *   requests = u32 calls, then each: u32 inputs, (name, tensor) each, u32 outputs, name each
 *   answers  = for each call and output: tensor
 *   name     = u32 length, bytes; "operation:index" of the graph
 *   tensor   = u32 TF_DataType, u32 dimensions, i64 each dimension, u64 bytes of payload, payload
 *   payload of strings = for each: u32 length, bytes
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

static TF_Status* status;

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void need(const char* what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static void* allocate(size_t size) {
  void* memory = malloc(size ? size : 1);
  if (!memory) fail("memory", "exhausted");
  return memory;
}

static void read_bytes(FILE* file, void* into, size_t size) {
  if (size && fread(into, 1, size, file) != size) fail("requests", "file ends early");
}

static uint32_t read_u32(FILE* file) {
  uint32_t value;
  read_bytes(file, &value, sizeof value);
  return value;
}

static void write_bytes(FILE* file, const void* from, size_t size) {
  if (size && fwrite(from, 1, size, file) != size) fail("answers", "cannot write");
}

static TF_Output read_output(FILE* file, TF_Graph* graph) {
  uint32_t length = read_u32(file);
  char* name = allocate(length + 1);
  read_bytes(file, name, length);
  name[length] = 0;
  char* colon = strrchr(name, ':');
  TF_Output output = {NULL, 0};
  if (colon) {
    *colon = 0;
    output.index = atoi(colon + 1);
  }
  output.oper = TF_GraphOperationByName(graph, name);
  if (!output.oper) fail("no such operation", name);
  free(name);
  return output;
}

static TF_Tensor* read_tensor(FILE* file) {
  TF_DataType type = (TF_DataType)read_u32(file);
  uint32_t rank = read_u32(file);
  int64_t* dims = allocate(rank * sizeof(int64_t));
  read_bytes(file, dims, rank * sizeof(int64_t));
  uint64_t size;
  read_bytes(file, &size, sizeof size);
  int64_t count = 1;
  for (uint32_t i = 0; i < rank; ++i) count *= dims[i];
  TF_Tensor* tensor;
  if (type == TF_STRING) {
    tensor = TF_AllocateTensor(type, dims, (int)rank, count * sizeof(TF_TString));
    TF_TString* strings = TF_TensorData(tensor);
    for (int64_t i = 0; i < count; ++i) {
      uint32_t length = read_u32(file);
      char* bytes = allocate(length);
      read_bytes(file, bytes, length);
      TF_StringInit(&strings[i]);
      TF_StringCopy(&strings[i], bytes, length);
      free(bytes);
    }
  } else {
    tensor = TF_AllocateTensor(type, dims, (int)rank, size);
    read_bytes(file, TF_TensorData(tensor), size);
  }
  free(dims);
  return tensor;
}

static void write_tensor(FILE* file, const TF_Tensor* tensor) {
  uint32_t type = TF_TensorType(tensor), rank = (uint32_t)TF_NumDims(tensor);
  write_bytes(file, &type, sizeof type);
  write_bytes(file, &rank, sizeof rank);
  int64_t count = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    int64_t dim = TF_Dim(tensor, (int)i);
    count *= dim;
    write_bytes(file, &dim, sizeof dim);
  }
  uint64_t size = TF_TensorByteSize(tensor);
  if (type == TF_STRING) {
    const TF_TString* strings = TF_TensorData(tensor);
    size = 0;
    for (int64_t i = 0; i < count; ++i) size += sizeof(uint32_t) + TF_StringGetSize(&strings[i]);
    write_bytes(file, &size, sizeof size);
    for (int64_t i = 0; i < count; ++i) {
      uint32_t length = (uint32_t)TF_StringGetSize(&strings[i]);
      write_bytes(file, &length, sizeof length);
      write_bytes(file, TF_StringGetDataPointer(&strings[i]), length);
    }
  } else {
    write_bytes(file, &size, sizeof size);
    write_bytes(file, TF_TensorData(tensor), size);
  }
}

/* With TFREC_LOADER_REPEAT=N in the environment, makes the call N times more and prints the nanoseconds of each. */
static void time_call(TF_Session* session, const TF_Output* feeds, TF_Tensor* const* values, uint32_t inputs,
                      const TF_Output* fetches, uint32_t outputs) {
  const char* repeat = getenv("TFREC_LOADER_REPEAT");
  TF_Tensor** results = allocate(outputs * sizeof(TF_Tensor*));
  for (long n = repeat ? atol(repeat) : 0; n > 0; --n) {
    struct timespec from, to;
    timespec_get(&from, TIME_UTC);
    TF_SessionRun(session, NULL, feeds, values, (int)inputs, fetches, results, (int)outputs, NULL, 0, NULL, status);
    timespec_get(&to, TIME_UTC);
    need("run");
    printf("%lld\n", (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec));
    for (uint32_t i = 0; i < outputs; ++i) TF_DeleteTensor(results[i]);
  }
  if (repeat) printf("\n");
  free(results);
}

static void run_call(FILE* requests, FILE* answers, TF_Session* session, TF_Graph* graph) {
  uint32_t inputs = read_u32(requests);
  TF_Output* feeds = allocate(inputs * sizeof(TF_Output));
  TF_Tensor** values = allocate(inputs * sizeof(TF_Tensor*));
  for (uint32_t i = 0; i < inputs; ++i) {
    feeds[i] = read_output(requests, graph);
    values[i] = read_tensor(requests);
  }
  uint32_t outputs = read_u32(requests);
  TF_Output* fetches = allocate(outputs * sizeof(TF_Output));
  TF_Tensor** results = allocate(outputs * sizeof(TF_Tensor*));
  for (uint32_t i = 0; i < outputs; ++i) fetches[i] = read_output(requests, graph);
  TF_SessionRun(session, NULL, feeds, values, (int)inputs, fetches, results, (int)outputs, NULL, 0, NULL, status);
  need("run");
  time_call(session, feeds, values, inputs, fetches, outputs);
  for (uint32_t i = 0; i < outputs; ++i) {
    write_tensor(answers, results[i]);
    TF_DeleteTensor(results[i]);
  }
  for (uint32_t i = 0; i < inputs; ++i) TF_DeleteTensor(values[i]);
  free(feeds);
  free(values);
  free(fetches);
  free(results);
}

int main(int argc, char** argv) {
  if (argc < 4) fail("usage", "loader SAVED_MODEL REQUESTS ANSWERS [LIBRARY...]");
  status = TF_NewStatus();
  for (int i = 4; i < argc; ++i) {
    TF_LoadLibrary(argv[i], status);
    need(argv[i]);
  }
  const char* tags[] = {"serve"};
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Graph* graph = TF_NewGraph();
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  need("load");
  FILE* requests = fopen(argv[2], "rb");
  if (!requests) fail("cannot read", argv[2]);
  FILE* answers = fopen(argv[3], "wb");
  if (!answers) fail("cannot write", argv[3]);
  for (uint32_t calls = read_u32(requests); calls > 0; --calls) run_call(requests, answers, session, graph);
  if (fclose(answers)) fail("answers", "cannot write");
  fclose(requests);
  TF_CloseSession(session, status);
  need("close");
  return 0;
}
