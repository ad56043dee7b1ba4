# Worker processes, a queue, a worker that dies of a signal, threads that fork.
import multiprocessing
import os
import signal
import subprocess
import threading


def square(x):
    return x * x


def die():
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    with multiprocessing.Pool(3) as pool:
        print(sum(pool.map(square, range(50))))
    worker = multiprocessing.Process(target=die)
    worker.start()
    worker.join()
    print(worker.exitcode)
    threads = [threading.Thread(target=subprocess.run, args=(["true"],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
